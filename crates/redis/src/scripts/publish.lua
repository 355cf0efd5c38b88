-- Numbers messages of one room, keeps them and publishes them: all or none of them.
--
-- KEYS  1 record of the room, 2 log of the room
-- ARGV  1 generation of the engine    2 epoch, if the room needs a new one
--       3 producer                    4 sequence number of the first message
--       5 messages that the room keeps, 6 seconds for which it keeps them
--       7 seconds after which an unused room is forgotten
--       8 channel of the room         9… messages
--
-- Returns the epoch and the offset of the first message.

local function text(number)
  return string.format('%d', number)
end

local first = tonumber(ARGV[4])
local record = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'generation', ARGV[3])

-- The producer repeats a call whose answer it has not got: it gets the same answer.
if record[4] then
  local sequence, offset, epoch = string.match(record[4], '^(%d+) (%d+) (%x+)$')
  if tonumber(sequence) >= first then
    return {epoch, text(tonumber(offset) - tonumber(sequence) + first)}
  end
end

local epoch = record[1]
local offset = tonumber(record[2] or '0')
if not epoch then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'generation', ARGV[1])
elseif record[3] ~= ARGV[1] then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'generation', ARGV[1], 'previous', epoch, 'base', text(offset))
end
if record[3] ~= ARGV[1] then
  epoch = ARGV[2]
end

-- A producer that is new here: of too many the one goes that published to this room longest ago.
if not record[4] and redis.call('HLEN', KEYS[1]) > 256 then
  local fields = redis.call('HGETALL', KEYS[1])
  local oldest, oldest_offset
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 2) == 'p:' then
      local its_offset = tonumber(string.match(fields[i + 1], '^%d+ (%d+)'))
      if not oldest or its_offset < oldest_offset then
        oldest, oldest_offset = fields[i], its_offset
      end
    end
  end
  if oldest then
    redis.call('HDEL', KEYS[1], oldest)
  end
end

local seconds = redis.call('TIME')[1]
local head = offset
for i = 9, #ARGV do
  head = head + 1
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], text(head) .. '-' .. seconds, 'm', ARGV[i])
end
local last = first + #ARGV - 9
redis.call('HSET', KEYS[1], 'offset', text(head), ARGV[3], text(last) .. ' ' .. text(head) .. ' ' .. epoch)
redis.call('EXPIRE', KEYS[1], ARGV[7])
redis.call('EXPIRE', KEYS[2], ARGV[6])
redis.call('PUBLISH', ARGV[8], epoch .. ' ' .. text(offset + 1) .. '\n' .. table.concat(ARGV, '', 9))
return {epoch, text(offset + 1)}
