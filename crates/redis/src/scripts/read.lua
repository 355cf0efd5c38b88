-- Tells where a room is, and the messages that a node does not have yet. Begins the room if there is none.
--
-- KEYS  1 record of the room, 2 log of the room
-- ARGV  1 generation of the engine    2 epoch, if the room needs a new one
--       3, 4 epoch and offset that the node knows; an empty epoch: none, and then the newest messages are read
--       5 seconds after which an unused room is forgotten
--       6 most messages, 7 most bytes of an answer
--
-- Returns epoch, offset, the epoch before this one or '', the last offset of that epoch, the time in seconds, and for each
-- message, the oldest first, id and bytes. The id of a message is its offset, '-', and the second in which it was published.

local function text(number)
  return string.format('%d', number)
end

local record = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'generation', 'previous', 'base')
local epoch, generation, previous = record[1], record[3], record[4] or ''
local offset, base = tonumber(record[2] or '0'), tonumber(record[5] or '0')
local known = tonumber(ARGV[4])

if not epoch then
  redis.call('DEL', KEYS[2])
  epoch = ARGV[2]
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'offset', '0', 'generation', ARGV[1])
elseif generation ~= ARGV[1] or (epoch == ARGV[3] and offset < known) then
  previous, base, epoch = epoch, offset, ARGV[2]
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'generation', ARGV[1], 'previous', previous, 'base', text(base))
end
redis.call('EXPIRE', KEYS[1], ARGV[5])

local answer = {epoch, text(offset), previous, text(base), redis.call('TIME')[1]}
local messages_max, bytes_max = tonumber(ARGV[6]), tonumber(ARGV[7])
local bytes = 0

-- Behind a position: pages from there.
local function read_behind(position)
  local from = text(position + 1)
  while messages_max > 0 and bytes < bytes_max do
    local count = math.min(messages_max, 64)
    local page = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', count)
    for _, entry in ipairs(page) do
      if bytes >= bytes_max then
        return
      end
      answer[#answer + 1] = entry[1]
      answer[#answer + 1] = entry[2][2]
      bytes = bytes + #entry[2][2]
    end
    if #page < count then
      return
    end
    messages_max = messages_max - count
    from = '(' .. page[#page][1]
  end
end

-- The newest messages: pages from the end.
local function newest()
  local entries = {}
  local to = '+'
  while messages_max > 0 do
    local count = math.min(messages_max, 64)
    local page = redis.call('XREVRANGE', KEYS[2], to, '-', 'COUNT', count)
    for _, entry in ipairs(page) do
      bytes = bytes + #entry[2][2]
      if bytes > bytes_max then
        return entries
      end
      entries[#entries + 1] = entry
    end
    if #page < count then
      return entries
    end
    messages_max = messages_max - count
    to = '(' .. page[#page][1]
  end
  return entries
end

if ARGV[3] == '' then
  local entries = newest()
  for i = #entries, 1, -1 do
    answer[#answer + 1] = entries[i][1]
    answer[#answer + 1] = entries[i][2][2]
  end
elseif ARGV[3] == epoch then
  read_behind(known)
elseif ARGV[3] == previous then
  read_behind(math.min(known, base))
end
return answer
