%% Evaluated by a private node before it boots: loads the modules of RabbitMQ and of everything that it needs at once, in
%% parallel, by their paths. A node asks every module for its attributes as it starts; left to itself it loads them one by
%% one, each looked for in some seventy folders, which is two thirds of its start. Whatever goes wrong here costs time only.
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
%% some modules run code of their own when they are loaded, and can only be loaded one by one: they are left out
Unfit = case code:prepare_loading(Code) of {error, Why} -> [M || {M, _} <- Why]; {ok, _} -> [] end,
{ok, Prepared} = code:prepare_loading([Module || {M, _, _} = Module <- Code, not lists:member(M, Unfit)]),
code:finish_loading(Prepared).
