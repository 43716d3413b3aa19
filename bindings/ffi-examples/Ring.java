// turtle from Java, through JNA: java -cp jna.jar Ring.java [path of libturtle.so]
import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.jna.Structure;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;

public class Ring {
    @Structure.FieldOrder({"struct_size", "strategy", "flags", "durability", "max_threads", "capacity", "elem_size",
        "elem_align", "path", "drop", "drop_ctx", "mode", "patience"})
    public static class Options extends Structure {
        public long struct_size;
        public int strategy, flags, durability, max_threads;
        public long capacity, elem_size, elem_align;
        public Pointer path, drop, drop_ctx;
        public int mode, patience;
    }

    static final int CLOSED = 4;
    static final long FOREVER = -1; // all bits set

    static native int turtle_options_init(Options options);
    static native int turtle_open(Options options, PointerByReference out);
    static native void turtle_free(Pointer buffer);
    static native int turtle_try_push(Pointer buffer, Pointer elem);
    static native int turtle_try_push_n(Pointer buffer, Pointer elems, long n, LongByReference done);
    static native int turtle_pop_n(Pointer buffer, Pointer elems, long max, long timeout_ns, LongByReference done);
    static native int turtle_close(Pointer buffer);
    static native String turtle_last_error();

    static void ok(int status) {
        if (status != 0) throw new IllegalStateException("status " + status + ": " + turtle_last_error());
    }

    public static void main(String[] args) {
        String path = args.length > 0 ? args[0] : System.getenv().getOrDefault("TURTLE_LIB", "turtle");
        Native.register(Ring.class, path);
        Options options = new Options();
        PointerByReference out = new PointerByReference();
        LongByReference done = new LongByReference();
        ok(turtle_options_init(options));
        options.capacity = 1000;
        ok(turtle_open(options, out));
        Pointer ring = out.getValue();

        // One element, then the rest in one call: a batch costs one foreign call, not one an element.
        Memory items = new Memory(8 * 1000);
        for (int i = 0; i < 1000; i++) items.setLong(8L * i, i + 1);
        ok(turtle_try_push(ring, items));
        ok(turtle_try_push_n(ring, items.share(8), 999, done));
        if (done.getValue() != 999) throw new IllegalStateException("batch of " + done.getValue());
        ok(turtle_close(ring));

        Memory batch = new Memory(8 * 64);
        long sum = 0, expected = 1;
        for (int status; (status = turtle_pop_n(ring, batch, 64, FOREVER, done)) != CLOSED; ) {
            ok(status);
            for (int i = 0; i < done.getValue(); i++, expected++) {
                if (batch.getLong(8L * i) != expected) throw new IllegalStateException("wrong order");
                sum += expected;
            }
        }
        if (sum != 500500) throw new IllegalStateException("sum " + sum);
        turtle_free(ring);
        System.out.println("java: 1000 elements, sum " + sum);
    }
}
