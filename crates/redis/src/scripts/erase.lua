-- Puts another message in the place of one that the log of a room keeps. The others keep their ids, and the log has nothing of the old one
-- any more: an entry of a stream that is only deleted stays in the memory of Redis and in its dumps, so the log is written anew.
--
-- A long log would hold up everybody. So a call copies a part of it into another key, and the last one puts that key in the place of the
-- log. In between others publish to the log: what they append is copied by the calls behind.
--
-- KEYS  1 record of the room, 2 log of the room, 3 the log that is written, which this node alone has
-- ARGV  1 generation of the engine    2 epoch and 3 offset of the message
--       4 the message in its place    5 seconds for which the log is kept
--       6 entries that a call copies at most
--       7 the answer of the call before, or '' to begin
--
-- Returns 1: it is done; 0: the log does not have the message. Otherwise the answer for the next call: the number of erasures of the room when
-- this one began, and the id of the last entry that was copied.

local record = redis.call('HMGET', KEYS[1], 'epoch', 'previous', 'base', 'erasures')
local is_before = record[2] == ARGV[2] and tonumber(ARGV[3]) <= tonumber(record[3] or '0')
if record[1] ~= ARGV[2] and not is_before then
  return 0
end
local erasures = record[4] or '0'
local began, copied = string.match(ARGV[7], '^(%d+) (%S+)$')
-- The erasure of another node that has ended in between has changed what is copied already.
local goes_on = began == erasures and redis.call('EXISTS', KEYS[3]) == 1
-- An id is the offset and a second: this range has the one with the offset.
local found = redis.call('XRANGE', KEYS[2], ARGV[3], ARGV[3])
if not goes_on then
  redis.call('DEL', KEYS[3])
  if #found == 0 then
    return 0
  end
end
local id = found[1] and found[1][1]
local from = goes_on and '(' .. copied or '-'
local entries = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', ARGV[6])
for _, entry in ipairs(entries) do
  local message = entry[2][2]
  if entry[1] == id then
    message = ARGV[4]
  end
  redis.call('XADD', KEYS[3], entry[1], 'm', message)
end
if #entries == tonumber(ARGV[6]) then
  -- What nobody goes on with is forgotten.
  redis.call('EXPIRE', KEYS[3], 60)
  return erasures .. ' ' .. entries[#entries][1]
end
redis.call('RENAME', KEYS[3], KEYS[2])
redis.call('EXPIRE', KEYS[2], ARGV[5])
redis.call('HSET', KEYS[1], 'erasures', string.format('%d', tonumber(erasures) + 1))
return 1
