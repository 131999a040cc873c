%% A private node evaluates this before it boots. It loads the modules of RabbitMQ and its dependencies in parallel, by
%% path. A starting node reads the attributes of every module. Without this, it loads the modules one by one and searches
%% some seventy directories for each, which takes two thirds of its startup time. If this fails, the start is only slower.
App = fun(Name) ->
    case code:where_is_file(atom_to_list(Name) ++ ".app") of
        non_existing -> none;
        File -> {ok, [{application, Name, About}]} = file:consult(File), {filename:dirname(File), About}
    end
end,
Needed = fun
    Needed([], Found) -> Found;
    Needed([Name | Rest], Found) when is_map_key(Name, Found) -> Needed(Rest, Found);
    Needed([Name | Rest], Found) ->
        case App(Name) of
            none -> Needed(Rest, Found#{Name => []});
            {Folder, About} ->
                Files = [{M, filename:join(Folder, atom_to_list(M) ++ ".beam")} || M <- proplists:get_value(modules, About, [])],
                Needed(proplists:get_value(applications, About, []) ++ Rest, Found#{Name => Files})
        end
end,
Modules = lists:append(maps:values(Needed([rabbitmq_prelaunch, rabbit, rabbitmq_management], #{}))),
Code = [{M, File, Binary} || {M, File} <- Modules, not erlang:module_loaded(M), {ok, Binary} <- [file:read_file(File)]],
%% modules that run code when they are loaded can only be loaded one by one, so they are left out
Unfit = case code:prepare_loading(Code) of {error, Why} -> [M || {M, _} <- Why]; {ok, _} -> [] end,
{ok, Prepared} = code:prepare_loading([Module || {M, _, _} = Module <- Code, not lists:member(M, Unfit)]),
code:finish_loading(Prepared).
