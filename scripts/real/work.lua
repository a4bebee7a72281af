-- The lua workload: binary trees, strings, tables. work.lua DEPTH.
local depth = tonumber(arg[1])

local function tree(level)
  if level == 0 then
    return {}
  end
  return { tree(level - 1), tree(level - 1) }
end

local function count(node)
  if not node[1] then
    return 1
  end
  return 1 + count(node[1]) + count(node[2])
end

local long_lived = tree(depth)
for level = 4, depth, 2 do
  local total = 0
  local times = 1 << (depth - level)
  for _ = 1, times do
    total = total + count(tree(level))
  end
  print(level, times, total)
end
print("long lived", count(long_lived))

local state = 42
local function number(below)
  state = (state * 1103515245 + 12345) % 2147483648
  return (state // 65536) % below
end

local words, seen = {}, {}
for index = 1, 1 << depth do
  local word = string.format("%s%d", string.char(97 + number(26), 97 + number(26)), number(1000))
  words[index] = word
  seen[word] = (seen[word] or 0) + 1
end
table.sort(words)
local text = table.concat(words, " ")
local changed, times = text:gsub("(%a+)(%d+)", function(letters, digits)
  return digits .. letters:upper()
end)
print(#text, #changed, times, changed:sub(1, 60))

local line = ""
for index = 1, 400 do
  line = line .. words[index] .. ";"
end
print(line)

local names = {}
for word, found in pairs(seen) do
  names[#names + 1] = word .. "=" .. found
end
table.sort(names)
print(#names, names[1], names[#names])
collectgarbage()
