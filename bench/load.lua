-- wrk's script: each request is another signed webhook. The pieces of the bodies and the signatures come from a file.

local threads = 0

function setup(thread)
   thread:set("first", threads)
   threads = threads + 1
end

function init(args)
   local file = assert(io.open(args[1], "r"))
   count, kinds, step = file:read("n", "n", "n")
   file:read("l")
   pieces, signatures = {}, {}
   for kind = 1, kinds do
      pieces[kind] = {}
      for part = 1, 5 do pieces[kind][part] = file:read("l") end
   end
   for number = 1, count do signatures[number] = file:read("l") end
   file:close()
   path = args[2]
   number = first + 1
   headers = {["Content-Type"] = "application/json"}
end

function request()
   local parts = pieces[number % kinds + 1]
   headers["X-Hub-Signature"] = signatures[number]
   local body = table.concat(parts, tostring(number))
   number = number + step
   if number > count then number = first + 1 end
   return wrk.format("POST", path, headers, body)
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format("RESULT %d %d %d %d %f %f\n", summary.requests, summary.duration, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50), latency:percentile(99)))
end
