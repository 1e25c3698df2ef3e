//! What must happen in one step on the server. Each script touches one key, or two with the same hash tag, so that all of
//! them work in a cluster.

use redis::Script;

/// Stores a record unless the group has been invalidated since its render began, or a later render's record is there.
///
/// KEYS: the group. ARGV: digest of the key, epoch, record, time to live in ms.
const PUT: &str = r"
local epoch = tonumber(ARGV[2])
local hard = tonumber(redis.call('HGET', KEYS[1], 'hard') or '0')
local before = tonumber(redis.call('HGET', KEYS[1], 'e:' .. ARGV[1]) or '0')
if epoch < hard or epoch < before then return 0 end
redis.call('HSET', KEYS[1], 'e:' .. ARGV[1], ARGV[2], 'r:' .. ARGV[1], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
";

/// Marks a group, and removes what a hard mark makes useless.
///
/// KEYS: the group. ARGV: `hard` or `soft`, epoch, time to live in ms.
const MARK: &str = r"
local epoch = tonumber(ARGV[2])
local before = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if epoch > before then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
if ARGV[1] == 'hard' then
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(field, 1, 2) == 'e:' and tonumber(redis.call('HGET', KEYS[1], field)) < epoch then
      redis.call('HDEL', KEYS[1], field, 'r:' .. string.sub(field, 3))
    end
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
";

/// Takes the next epoch and appends an invalidation under it.
///
/// KEYS: the epoch, the log. ARGV: kind, mode, reach, epoch of the mark (empty: the one taken), entries to keep.
const APPEND: &str = r"
local position = redis.call('INCR', KEYS[1])
local mark = ARGV[4]
if mark == '' then mark = position end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], position .. '-1',
  'kind', ARGV[1], 'mode', ARGV[2], 'reach', ARGV[3], 'mark', mark)
return position
";

/// Makes sure that epochs go on after the one that a replica knows, and says which data set this is.
///
/// KEYS: the epoch, the name of the data set. ARGV: the replica's epoch, a name for a new data set.
const JOIN: &str = r"
redis.call('SET', KEYS[2], ARGV[2], 'NX')
local epoch = tonumber(redis.call('GET', KEYS[1]) or '0')
if epoch < tonumber(ARGV[1]) then
  epoch = tonumber(ARGV[1])
  redis.call('SET', KEYS[1], ARGV[1])
end
return { epoch, redis.call('GET', KEYS[2]) }
";

/// All scripts; each is loaded into the server when that does not know it.
pub(super) struct Scripts {
    pub(super) put: Script,
    pub(super) mark: Script,
    pub(super) append: Script,
    pub(super) join: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let [put, mark, append, join] = [PUT, MARK, APPEND, JOIN].map(Script::new);
        Self { put, mark, append, join }
    }
}
