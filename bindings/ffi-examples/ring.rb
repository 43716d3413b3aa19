# turtle from Ruby, through the ffi gem: ruby ring.rb [path of libturtle.so]
require "ffi"

module Turtle
  extend FFI::Library
  ffi_lib ARGV[0] || ENV["TURTLE_LIB"] || "libturtle.so.0"

  class Options < FFI::Struct
    layout :struct_size, :size_t, :strategy, :uint32, :flags, :uint32, :durability, :uint32, :max_threads, :uint32,
           :capacity, :size_t, :elem_size, :size_t, :elem_align, :size_t, :path, :pointer, :drop, :pointer,
           :drop_ctx, :pointer, :mode, :uint32, :patience, :uint32
  end

  CLOSED = 4
  FOREVER = 2**64 - 1
  attach_function :turtle_options_init, [:pointer], :int32
  attach_function :turtle_open, [:pointer, :pointer], :int32
  attach_function :turtle_free, [:pointer], :void
  attach_function :turtle_try_push, [:pointer, :pointer], :int32
  attach_function :turtle_try_push_n, [:pointer, :pointer, :size_t, :pointer], :int32
  attach_function :turtle_pop_n, [:pointer, :pointer, :size_t, :uint64, :pointer], :int32, blocking: true
  attach_function :turtle_close, [:pointer], :int32
  attach_function :turtle_last_error, [], :string

  def self.ok(status)
    raise "status #{status}: #{turtle_last_error}" unless status.zero?
  end
end

options = Turtle::Options.new
out = FFI::MemoryPointer.new(:pointer)
done = FFI::MemoryPointer.new(:size_t)
Turtle.ok Turtle.turtle_options_init(options)
options[:capacity] = 1000
Turtle.ok Turtle.turtle_open(options, out)
ring = out.read_pointer

# One element, then the rest in one call: a batch costs one foreign call, not one an element.
items = FFI::MemoryPointer.new(:uint64, 1000).write_array_of_uint64((1..1000).to_a)
Turtle.ok Turtle.turtle_try_push(ring, items)
Turtle.ok Turtle.turtle_try_push_n(ring, items + 8, 999, done)
raise "batch of #{done.read_uint64}" unless done.read_uint64 == 999
Turtle.ok Turtle.turtle_close(ring)

popped = []
batch = FFI::MemoryPointer.new(:uint64, 64)
while (status = Turtle.turtle_pop_n(ring, batch, 64, Turtle::FOREVER, done)) != Turtle::CLOSED
  Turtle.ok status
  popped.concat(batch.read_array_of_uint64(done.read_uint64))
end
raise "wrong order" unless popped == (1..1000).to_a
Turtle.turtle_free(ring)
puts "ruby: 1000 elements, sum #{popped.sum}"
