//! What must happen in one step on the server. Each script touches one key, or several with the same hash tag, so that all of
//! them work in a cluster. Epochs are texts of one length, whose order is theirs; a mark is one with a digest behind it.

use redis::Script;

/// Stores a record unless the group has been invalidated since its render began, or a later render's record is there.
///
/// KEYS: the group. ARGV: digest of the key, epoch, record, time to live in ms.
const PUT: &str = r"
local hard = string.sub(redis.call('HGET', KEYS[1], 'hard') or '', 1, 20)
local before = redis.call('HGET', KEYS[1], 'e:' .. ARGV[1]) or ''
if ARGV[2] < hard or ARGV[2] < before then return 0 end
redis.call('HSET', KEYS[1], 'e:' .. ARGV[1], ARGV[2], 'r:' .. ARGV[1], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
";

/// Marks a group, and removes what a hard mark makes useless.
///
/// KEYS: the group. ARGV: `hard` or `soft`, mark, time to live in ms.
const MARK: &str = r"
local before = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if ARGV[2] > before then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
if ARGV[1] == 'hard' then
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(field, 1, 2) == 'e:' and redis.call('HGET', KEYS[1], field) < string.sub(ARGV[2], 1, 20) then
      redis.call('HDEL', KEYS[1], field, 'r:' .. string.sub(field, 3))
    end
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
";

/// Takes the next position: the time in units of 100 us, or the number after the last one if that is greater. A server that
/// has forgotten its last positions in a crash, or its successor, so gives none of them again.
macro_rules! next {
    () => {
        r"
local time = redis.call('TIME')
local now = time[1] * 10000 + math.floor(time[2] / 100)
local position = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0') + 1)
redis.call('SET', KEYS[1], string.format('%.0f', position))
"
    };
}

/// Answers that the data set is not the one that the replica has joined, if so: then it joins again first.
///
/// `KEYS[2]`: the number of the data set. `ARGV[1]`: the one that it should be.
macro_rules! unless_lost {
    () => {
        r"
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return redis.error_reply('LOST the data set is another one') end
"
    };
}

/// Takes the next position.
///
/// KEYS: the epoch, the number of the data set. ARGV: the data set.
const NEXT: &str = concat!(unless_lost!(), next!(), "return position");

/// Gives the position that a published purge was given once, by whichever replica asked first, which is the next one.
///
/// KEYS: the epoch, the number of the data set, positions by number. ARGV: the data set, the purge's number, numbers to keep, time to
/// live in ms.
const PURGE: &str = concat!(
    unless_lost!(),
    r"
local known = redis.call('HGET', KEYS[3], ARGV[2])
if known then return tonumber(known) end
",
    next!(),
    r"
redis.call('HSET', KEYS[3], ARGV[2], string.format('%.0f', position))
redis.call('HDEL', KEYS[3], string.format('%.0f', ARGV[2] - ARGV[3]))
redis.call('PEXPIRE', KEYS[3], ARGV[4])
return position
"
);

/// Takes the next position and appends an invalidation there.
///
/// KEYS: the epoch, the number of the data set, the log. ARGV: the data set, kind, mode, reach, epoch of the mark, entries to keep,
/// digest of what the entry says.
const APPEND: &str = concat!(
    unless_lost!(),
    next!(),
    r"
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], string.format('%.0f-1', position),
  'kind', ARGV[2], 'mode', ARGV[3], 'reach', ARGV[4], 'mark', ARGV[5], 'sum', ARGV[7])
return position
"
);

/// Makes sure that epochs go on after the one that a replica knows, and says which data set this is. The first that knew another
/// one has it noted that that is lost.
///
/// KEYS: the epoch, the number of the data set, when another one was found to be lost. ARGV: the replica's position, a number for
/// a new data set, the number that the replica knew or 0.
const JOIN: &str = r"
redis.call('SET', KEYS[2], ARGV[2], 'NX')
if ARGV[3] ~= '0' and ARGV[3] ~= redis.call('GET', KEYS[2]) then
  redis.call('SET', KEYS[3], redis.call('TIME')[1], 'NX')
end
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1])
end
return { redis.call('GET', KEYS[1]) or '0', redis.call('GET', KEYS[2]) }
";

/// Notes how far in the log a replica is, and that it is there.
///
/// KEYS: positions, the number of the data set, when replicas were seen. ARGV: the data set, its name, its position.
const REPORT: &str = concat!(
    unless_lost!(),
    r"
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return redis.call('ZADD', KEYS[3], redis.call('TIME')[1], ARGV[2])
"
);

/// Lists the replicas that are there with their positions, and forgets the others; and says whether there may be some that have
/// not come back since the data set before was lost.
///
/// KEYS: positions, the number of the data set, when replicas were seen, when another data set was found to be lost. ARGV: the data
/// set, seconds after which a silent replica is gone.
const ROLL: &str = concat!(
    unless_lost!(),
    r"
local gone = redis.call('TIME')[1] - ARGV[2]
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '(' .. gone)) do
  redis.call('ZREM', KEYS[3], name)
  redis.call('HDEL', KEYS[1], name)
end
local listed = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  table.insert(listed, { name, redis.call('HGET', KEYS[1], name) or '0' })
end
local lost = redis.call('GET', KEYS[4])
return { lost and tonumber(lost) >= gone and 1 or 0, listed }
"
);

/// Takes the lock of a page if nobody has it or it is to be stolen, and gives what is stored of a later epoch.
///
/// KEYS: the lock, the group. ARGV: fence, time to live in ms, whether to steal, digest of the key, epoch that is known.
const CLAIM: &str = r"
local holder = redis.call('GET', KEYS[1])
local ours = 0
if not holder or holder == ARGV[1] or ARGV[3] == '1' then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  ours = 1
end
local found = redis.call('HMGET', KEYS[2], 'hard', 'soft', 'e:' .. ARGV[4])
local record = false
if found[3] and found[3] > ARGV[5] then record = redis.call('HGET', KEYS[2], 'r:' .. ARGV[4]) end
return { ours, found[1], found[2], record }
";

/// Keeps a lock that is still held under this fence.
///
/// KEYS: the lock. ARGV: fence, time to live in ms.
const RENEW: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
";

/// Gives a lock back that is still held under this fence.
///
/// KEYS: the lock. ARGV: fence.
const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
";

/// All scripts; each is loaded into the server when that does not know it.
pub(super) struct Scripts {
    pub(super) put: Script,
    pub(super) mark: Script,
    pub(super) next: Script,
    pub(super) purge: Script,
    pub(super) append: Script,
    pub(super) join: Script,
    pub(super) report: Script,
    pub(super) roll: Script,
    pub(super) claim: Script,
    pub(super) renew: Script,
    pub(super) release: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let [put, mark, next, purge, append, join, report, roll, claim, renew, release] =
            [PUT, MARK, NEXT, PURGE, APPEND, JOIN, REPORT, ROLL, CLAIM, RENEW, RELEASE].map(Script::new);
        Self { put, mark, next, purge, append, join, report, roll, claim, renew, release }
    }
}
