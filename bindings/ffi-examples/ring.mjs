// turtle from Node, through koffi (npm install koffi): node ring.mjs [path of libturtle.so]
import koffi from "koffi";
import assert from "node:assert";

const lib = koffi.load(process.argv[2] ?? process.env.TURTLE_LIB ?? "libturtle.so.0");
koffi.struct("turtle_options", {
  struct_size: "size_t", strategy: "uint32_t", flags: "uint32_t", durability: "uint32_t", max_threads: "uint32_t",
  capacity: "size_t", elem_size: "size_t", elem_align: "size_t", path: "const char *", drop: "void *", drop_ctx: "void *",
  mode: "uint32_t", patience: "uint32_t",
});
koffi.opaque("turtle_buffer");
const init = lib.func("int32_t turtle_options_init(_Out_ turtle_options *options)");
const open = lib.func("int32_t turtle_open(const turtle_options *options, _Out_ turtle_buffer **out)");
const free = lib.func("void turtle_free(turtle_buffer *buffer)");
const tryPush = lib.func("int32_t turtle_try_push(turtle_buffer *buffer, const uint64_t *elem)");
const tryPushN = lib.func("int32_t turtle_try_push_n(turtle_buffer *buffer, const uint64_t *elems, size_t n, _Out_ size_t *done)");
const popN = lib.func("int32_t turtle_pop_n(turtle_buffer *buffer, void *elems, size_t max, uint64_t timeout_ns, _Out_ size_t *done)");
const close = lib.func("int32_t turtle_close(turtle_buffer *buffer)");
const lastError = lib.func("const char *turtle_last_error()");
const CLOSED = 4, FOREVER = 0xffffffffffffffffn;
const ok = (status) => assert.equal(status, 0, `status ${status}: ${lastError()}`);

const options = {}, out = [null], done = [0];
ok(init(options));
ok(open({ ...options, capacity: 1000 }, out));
const ring = out[0];

// One element, then the rest in one call: a batch costs one foreign call, not one an element.
ok(tryPush(ring, new BigUint64Array([1n])));
ok(tryPushN(ring, BigUint64Array.from({ length: 999 }, (_, i) => BigInt(i + 2)), 999, done));
assert.equal(Number(done[0]), 999);
ok(close(ring));

const batch = new BigUint64Array(64);
let sum = 0n, expected = 1n;
for (let status; (status = popN(ring, batch, 64, FOREVER, done)) !== CLOSED; ) {
  ok(status);
  for (const x of batch.subarray(0, Number(done[0]))) {
    assert.equal(x, expected++);
    sum += x;
  }
}
assert.equal(sum, 500500n);
free(ring);
console.log(`node: 1000 elements, sum ${sum}`);
