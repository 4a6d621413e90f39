-- Every request has an id of its own, as the ledgers want it: nothing that is kept from the last request fits the next.
local count = 0
local before = "GET " .. wrk.path .. " HTTP/1.1\r\nHost: app.example:8080\r\nUser-Agent: wrk\r\nAccept: */*\r\n"
  .. "Accept-Encoding: gzip, deflate\r\nx-request-id: bench-"

function request()
  count = count + 1
  return before .. count .. "\r\n\r\n"
end
