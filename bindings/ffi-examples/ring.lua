-- turtle from LuaJIT: luajit ring.lua [path of libturtle.so]
local ffi = require("ffi")

ffi.cdef [[
typedef struct { size_t struct_size; uint32_t strategy, flags, durability, max_threads; size_t capacity, elem_size,
  elem_align; const char *path; void (*drop)(void *, void *); void *drop_ctx; uint32_t mode, patience; } turtle_options;
typedef struct turtle_buffer turtle_buffer;
int32_t turtle_options_init(turtle_options *options);
int32_t turtle_open(const turtle_options *options, turtle_buffer **out);
void turtle_free(turtle_buffer *buffer);
int32_t turtle_try_push(turtle_buffer *buffer, const void *elem);
int32_t turtle_try_push_n(turtle_buffer *buffer, const void *elems, size_t n, size_t *done);
int32_t turtle_pop_n(turtle_buffer *buffer, void *elems, size_t max, uint64_t timeout_ns, size_t *done);
int32_t turtle_close(turtle_buffer *buffer);
const char *turtle_last_error(void);
]]

local turtle = ffi.load(arg[1] or os.getenv("TURTLE_LIB") or "turtle")
local CLOSED, FOREVER = 4, 0xffffffffffffffffULL

local function ok(status)
  if status ~= 0 then error("status " .. status .. ": " .. ffi.string(turtle.turtle_last_error())) end
end

local options, out = ffi.new("turtle_options[1]"), ffi.new("turtle_buffer *[1]")
ok(turtle.turtle_options_init(options))
options[0].capacity = 1000
ok(turtle.turtle_open(options, out))
local ring = ffi.gc(out[0], turtle.turtle_free)

-- One element, then the rest in one call: a batch costs one foreign call, not one an element.
local items, done = ffi.new("uint64_t[999]"), ffi.new("size_t[1]")
for i = 0, 998 do items[i] = i + 2 end
ok(turtle.turtle_try_push(ring, ffi.new("uint64_t[1]", 1)))
ok(turtle.turtle_try_push_n(ring, items, 999, done))
assert(done[0] == 999)
ok(turtle.turtle_close(ring))

local batch, sum, expected = ffi.new("uint64_t[64]"), 0ULL, 1ULL
while true do
  local status = turtle.turtle_pop_n(ring, batch, 64, FOREVER, done)
  if status == CLOSED then break end
  ok(status)
  for i = 0, tonumber(done[0]) - 1 do
    assert(batch[i] == expected)
    sum, expected = sum + batch[i], expected + 1
  end
end
assert(sum == 500500)
print("luajit: 1000 elements, sum " .. tostring(sum):gsub("ULL", ""))
