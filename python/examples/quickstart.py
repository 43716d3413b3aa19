import threading

from turtle_buffers import RingBuffer

ring: RingBuffer[int] = RingBuffer(64, strategy="turn")


def produce() -> None:
    for number in range(1, 1001):
        ring.put(number)  # waits while the ring is full
    ring.shutdown()


worker = threading.Thread(target=produce)
worker.start()
total = sum(ring)  # ends when the ring is shut down and drained
worker.join()
print("sum", total)
assert total == 500_500
