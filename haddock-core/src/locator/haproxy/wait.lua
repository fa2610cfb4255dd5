-- Lets a request wait until Haddock has registered the servers of its backend, for at most 20 s.
core.register_action("haddock_wait", { "http-req" }, function(_, backend)
    local ready = core.backends[backend].servers["haddock-ready"]
    for _ = 1, 1000 do
        if ready:get_stats().status ~= "MAINT" then return end
        core.msleep(20)
    end
end, 1)
