// turtle from Go, through cgo. The header and the library are found by CGO_CFLAGS and CGO_LDFLAGS, or by pkg-config:
// CGO_CFLAGS="$(pkg-config --cflags turtle)" CGO_LDFLAGS="$(pkg-config --libs turtle)" go run ring.go
package main

// #include <turtle.h>
import "C"

import (
	"fmt"
	"unsafe"
)

func ok(status C.turtle_status) {
	if status != C.TURTLE_OK {
		panic(fmt.Sprintf("status %d: %s", status, C.GoString(C.turtle_last_error())))
	}
}

func main() {
	var options C.turtle_options
	var ring *C.turtle_buffer
	var done C.size_t
	ok(C.turtle_options_init(&options))
	options.capacity = 1000
	ok(C.turtle_open(&options, &ring))
	defer C.turtle_free(ring)

	// One element, then the rest in one call: a batch costs one foreign call, not one an element.
	var items [1000]uint64
	for i := range items {
		items[i] = uint64(i + 1)
	}
	ok(C.turtle_try_push(ring, unsafe.Pointer(&items[0])))
	ok(C.turtle_try_push_n(ring, unsafe.Pointer(&items[1]), 999, &done))
	if done != 999 {
		panic(done)
	}
	ok(C.turtle_close(ring))

	var batch [64]uint64
	sum, expected := uint64(0), uint64(1)
	for {
		status := C.turtle_pop_n(ring, unsafe.Pointer(&batch[0]), 64, C.TURTLE_FOREVER, &done)
		if status == C.TURTLE_CLOSED {
			break
		}
		ok(status)
		for _, x := range batch[:done] {
			if x != expected {
				panic(x)
			}
			sum, expected = sum+x, expected+1
		}
	}
	if sum != 500500 {
		panic(sum)
	}
	fmt.Println("go: 1000 elements, sum", sum)
}
