-- What proxy/quota/table.py says, for Redis and Valkey: one exchange of one process with the counters, whole or not at all.
-- KEYS: members, this member's recalls, then a hash for each bucket and for each gauge of the request.
-- ARGV: the request (exchange.py), quiet, settle, the prefix of recalls, a time for tests or "", empty.
-- A server that has started anew may have lost what it wrote last: it begins a new epoch, and old values are as none.
local request = cjson.decode(ARGV[1])
local quiet, settle, empty = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[6])
local UNIT, KEPT = 1000000, 3600

local function number(value) return string.format('%.17g', value) end

local now
if ARGV[5] == '' then
    local time = redis.call('TIME')
    now = tonumber(time[1]) + tonumber(time[2]) / 1000000
else
    now = tonumber(ARGV[5])
end

-- The epoch.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local state = {}
local found = redis.call('HGET', KEYS[1], 'state')
if found then state = cjson.decode(found) end
local members = {}
if state.run ~= run then
    redis.call('DEL', KEYS[1])
    state = {run = run, epoch = run .. ':' .. number(now), born = number(now), at = number(now), flow = '0', heard = '0',
             claimers = 0, expected = 0, ttl = 0, open = false}
else
    local all = redis.call('HGETALL', KEYS[1])
    for i = 1, #all, 2 do
        if all[i] ~= 'state' then
            local one = cjson.decode(all[i + 1])
            for _, field in ipairs({'joined', 'last', 'heard'}) do one[field] = tonumber(one[field]) end
            members[all[i]] = one
        end
    end
end
for _, field in ipairs({'born', 'at', 'flow', 'heard'}) do state[field] = tonumber(state[field]) end

-- Time goes on.
if now < state.at then now = state.at end
for _, one in pairs(members) do
    local spoken = math.min(now, one.last + quiet) - state.at
    if spoken > 0 then state.flow = state.flow + spoken * one.share / UNIT end
end
state.heard = state.heard + math.min(now - state.at, quiet)
state.at = now
for name, one in pairs(members) do
    if state.heard - one.heard > one.ttl then
        members[name] = nil
        redis.call('HDEL', KEYS[1], name)
        redis.call('DEL', ARGV[4] .. name)
    end
end

local function opened()
    if not state.open then
        if state.claimers > 0 then
            state.open = state.claimers >= state.expected or now >= state.born + state.ttl
        else
            state.open = now >= state.born + math.max(settle, empty)
        end
    end
    return state.open
end

local function keep()
    local kept = {}
    for field, value in pairs(state) do kept[field] = value end
    for _, field in ipairs({'born', 'at', 'flow', 'heard'}) do kept[field] = number(state[field]) end
    redis.call('HSET', KEYS[1], 'state', cjson.encode(kept))
end

local function answer(heard, share, peers, granted, told, recalled)
    return cjson.encode({heard = heard, epoch = state.epoch, time = number(now), share = share, peers = peers,
                         granted = granted, told = told, recalled = recalled})
end

-- Who speaks.
local id = request.member
local member = members[id]
local known = member ~= nil
local too_late = request['until'] ~= cjson.null and now > request['until']
if not too_late then
    if known then
        too_late = request.number <= member.number
    else
        too_late = request.epoch ~= '' and not request.whole
    end
end
if too_late or request.leave then
    if not too_late then
        redis.call('HDEL', KEYS[1], id)
        redis.call('DEL', KEYS[2])
    end
    keep()
    return answer(false, 0, 0, {}, {}, {})
end
if not known then
    member = {joined = now, share = 0, claimed = false}
    members[id] = member
    if request.epoch ~= '' and request.epoch ~= state.epoch and not opened() then
        member.claimed = true
        member.share = request.share
        state.claimers = state.claimers + 1
        state.expected = math.max(state.expected, request.peers)
        state.ttl = math.max(state.ttl, request.ttl)
    end
end
member.number, member.last, member.heard, member.ttl = request.number, now, state.heard, request.ttl
local honoured = member.claimed or (known and request.epoch == state.epoch)
local welcome = opened() and (member.claimed or now >= member.joined + settle)

-- Allotment: entries by member, each with a bound and what it wants.
local function allot(entries, limit, allotted)
    local names, wanted, others = {}, 0, 0
    for name, one in pairs(entries) do
        names[#names + 1] = name
        wanted = wanted + one.wanted
        if name ~= id then others = others + one.bound end
    end
    local target
    if wanted <= limit then
        table.sort(names)
        local left = limit - wanted
        target = entries[id].wanted + math.floor(left / #names)
        for place = 1, left % #names do
            if names[place] == id then target = target + 1 end
        end
    else
        table.sort(names, function(one, other)
            local less, more = entries[one].wanted, entries[other].wanted
            if less == more then return one < other end
            return less < more
        end)
        local left = limit
        for place, name in ipairs(names) do
            local part = math.min(entries[name].wanted, math.floor(left / (#names - place + 1)))
            if name == id then target = part end
            left = left - part
        end
    end
    if target <= allotted then return target end
    return math.max(allotted, math.min(target, limit - others))
end

local shares = {}
local peers = 0
for name, one in pairs(members) do
    shares[name] = {bound = one.share, wanted = UNIT}
    peers = peers + 1
end
local believed = honoured and request.share or 0
local share = welcome and allot(shares, UNIT, believed) or believed
member.share = math.max(share, believed)

local granted = {}
for place, take in ipairs(request.takes) do
    local key, rate, burst, want, spent = KEYS[2 + place], take[2], take[3], take[4], take[5]
    local old = redis.call('HMGET', key, 'epoch', 'level', 'flow', 'rate', 'burst')
    local level
    if old[1] == state.epoch then
        level = math.min(tonumber(old[5]), tonumber(old[2]) + tonumber(old[4]) * (state.flow - tonumber(old[3])))
    elseif settle == 0 then
        level = burst
    else
        level = rate * state.flow
    end
    level = math.min(level, burst) - spent
    local got = math.min(want, math.max(0, level))
    level = level - got
    redis.call('HSET', key, 'epoch', state.epoch, 'level', number(level), 'flow', number(state.flow),
               'rate', number(rate), 'burst', number(burst))
    redis.call('EXPIRE', key, KEPT + math.ceil(math.min(10 * (burst - level) / rate, 100000000)))
    granted[#granted + 1] = {take[1], number(got), number(level)}
end

local told = {}
for place, report in ipairs(request.reports) do
    local key = KEYS[2 + #request.takes + place]
    local limit, held, wants = report[2], report[4], report[5]
    local entries = {}
    local old = redis.call('HGETALL', key)
    for i = 1, #old, 2 do
        local bound, wanted, joined, epoch = string.match(old[i + 1], '^(%d+) (%d+) (%S+) (.*)$')
        local one = members[old[i]]
        if one and epoch == state.epoch and tonumber(joined) == one.joined then
            entries[old[i]] = {bound = tonumber(bound), wanted = tonumber(wanted)}
        else
            redis.call('HDEL', key, old[i])
        end
    end
    if report[3] == 0 and held == 0 and wants == 0 then
        redis.call('HDEL', key, id)
        told[#told + 1] = {report[1], 0}
    else
        local mine = honoured and report[3] or 0
        entries[id] = {bound = entries[id] and entries[id].bound or 0, wanted = wants}
        local may = welcome and allot(entries, limit, mine) or mine
        local bound = math.max(may, mine, held)
        redis.call('HSET', key, id, string.format('%d %d %s %s', bound, wants, number(member.joined), state.epoch))
        if may < wants then
            for name, one in pairs(entries) do
                if name ~= id and (one.bound > 0 or one.wanted > 0) then redis.call('SADD', ARGV[4] .. name, report[1]) end
            end
        end
        told[#told + 1] = {report[1], may}
    end
end

local recalled = redis.call('SMEMBERS', KEYS[2])
redis.call('DEL', KEYS[2])
local kept = {}
for field, value in pairs(member) do kept[field] = value end
for _, field in ipairs({'joined', 'last', 'heard'}) do kept[field] = number(member[field]) end
redis.call('HSET', KEYS[1], id, cjson.encode(kept))
keep()
return answer(true, share, peers, granted, told, recalled)
