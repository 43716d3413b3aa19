//! Waking a blocked consumer, and what it costs while it sleeps.

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::machine::{
    asleep, cores, ns_per_tick, pin, thread_cpu, thread_id, ticks, ticks_after_loads,
};
use crate::queue::{Pop, Push, Queue, Wait};
use crate::stats::{Rng, quantile};
use crate::work::placement;

/// A word handed over by a bare futex: the least that waking a thread can cost.
///
/// It holds one item; a second push waits until the first was taken.
#[derive(Debug)]
pub struct Futex {
    full: AtomicU32,
    value: AtomicU64,
}

impl Queue<u64> for Futex {
    type P<'a> = &'a Self;
    type C<'a> = &'a Self;

    fn with_capacity(_capacity: usize) -> Self {
        Self {
            full: AtomicU32::new(0),
            value: AtomicU64::new(0),
        }
    }
    fn producer(&self) -> Self::P<'_> {
        self
    }
    fn consumer(&self) -> Self::C<'_> {
        self
    }
}

impl Push<u64> for &Futex {
    fn try_push(&mut self, value: u64) -> Result<(), u64> {
        if self.full.load(Ordering::Acquire) != 0 {
            return Err(value);
        }
        self.value.store(value, Ordering::Relaxed);
        self.full.store(1, Ordering::Release);
        // SAFETY: the word outlives the call, which only names it.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.full.as_ptr(),
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                1,
            )
        };
        Ok(())
    }
}

impl Pop<u64> for &Futex {
    fn try_pop(&mut self) -> Option<u64> {
        if self.full.load(Ordering::Acquire) == 0 {
            return None;
        }
        let value = self.value.load(Ordering::Relaxed);
        self.full.store(0, Ordering::Release);
        Some(value)
    }

    fn pop(&mut self) -> u64 {
        loop {
            if let Some(value) = self.try_pop() {
                return value;
            }
            let forever = std::ptr::null::<libc::timespec>();
            // SAFETY: the word outlives the call; without a deadline it only waits while it is 0.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.full.as_ptr(),
                    libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                    0,
                    forever,
                )
            };
        }
    }
}

/// A word behind `Mutex` and `Condvar`.
#[derive(Debug)]
pub struct Monitor {
    value: Mutex<Option<u64>>,
    changed: Condvar,
}

impl Queue<u64> for Monitor {
    type P<'a> = &'a Self;
    type C<'a> = &'a Self;

    fn with_capacity(_capacity: usize) -> Self {
        Self {
            value: Mutex::new(None),
            changed: Condvar::new(),
        }
    }
    fn producer(&self) -> Self::P<'_> {
        self
    }
    fn consumer(&self) -> Self::C<'_> {
        self
    }
}

impl Push<u64> for &Monitor {
    fn try_push(&mut self, value: u64) -> Result<(), u64> {
        let mut slot = self.value.lock().expect("no worker panics");
        if slot.is_some() {
            return Err(value);
        }
        *slot = Some(value);
        drop(slot);
        self.changed.notify_one();
        Ok(())
    }
}

impl Pop<u64> for &Monitor {
    fn try_pop(&mut self) -> Option<u64> {
        self.value.lock().expect("no worker panics").take()
    }

    fn pop(&mut self) -> u64 {
        let slot = self.value.lock().expect("no worker panics");
        let mut slot = self
            .changed
            .wait_while(slot, |slot| slot.is_none())
            .expect("no worker panics");
        slot.take().expect("just waited for it")
    }
}

/// Waits until the thread that wrote its number to `whom` sleeps in the kernel.
fn until_asleep(whom: &AtomicI32) {
    loop {
        let thread = whom.load(Ordering::Acquire);
        if thread != 0 && asleep(thread) {
            return;
        }
        std::thread::yield_now();
    }
}

/// Pushes `count` items, each after the consumer fell asleep in `pop`; median and 99th percentile
/// in nanoseconds from before the push until after the pop.
///
/// `Q::pop` of the subject must block. A gap of 20 to 200 µs after the consumer fell asleep makes
/// the idle states of its core alike for all subjects.
///
/// # Panics
/// If a stamp was lost or changed.
pub fn wake<Q: Queue<u64>>(capacity: usize, count: usize) -> [f64; 2] {
    let queue = Q::with_capacity(capacity);
    let (here, there) = placement(&cores(), 0);
    let (thread, taken) = (AtomicI32::new(0), AtomicU64::new(0));
    let rate = ns_per_tick();
    std::thread::scope(|scope| {
        let (thread, taken) = (&thread, &taken);
        let (mut producer, mut consumer) = (queue.producer(), queue.consumer());
        let receiver = scope.spawn(move || {
            pin(there);
            thread.store(thread_id(), Ordering::Release);
            let mut latencies = Vec::with_capacity(count);
            let mut sum = 0_u64;
            for i in 0..count as u64 {
                let stamp = consumer.pop();
                let now = ticks_after_loads();
                latencies.push(now.saturating_sub(stamp));
                sum = sum.wrapping_add(stamp);
                taken.store(i + 1, Ordering::Release);
            }
            (latencies, sum)
        });
        let sender = scope.spawn(move || {
            pin(here);
            let mut rng = Rng::new(count as u64);
            let mut sum = 0_u64;
            for i in 0..count as u64 {
                until_asleep(thread);
                let gap = ((20_000 + rng.below(180_000)) as f64 / rate) as u64;
                let since = ticks();
                while ticks() - since < gap {
                    std::hint::spin_loop();
                }
                let stamp = ticks();
                producer.push(stamp);
                sum = sum.wrapping_add(stamp);
                let mut wait = Wait::new();
                while taken.load(Ordering::Acquire) != i + 1 {
                    wait.pause();
                }
            }
            sum
        });
        let sent = sender.join().expect("the sender ends well");
        let (mut latencies, received) = receiver.join().expect("the receiver ends well");
        assert_eq!(sent, received, "a stamp was lost or changed");
        latencies.sort_unstable();
        [quantile(&latencies, 0.5), quantile(&latencies, 0.99)].map(|ticks| ticks as f64 * rate)
    })
}

/// Share of a core that a consumer uses while it is blocked in `pop` for `span`.
pub fn idle<Q: Queue<u64>>(capacity: usize, span: Duration) -> f64 {
    let queue = Q::with_capacity(capacity);
    let (here, there) = placement(&cores(), 0);
    let thread = AtomicI32::new(0);
    std::thread::scope(|scope| {
        let thread = &thread;
        let (mut producer, mut consumer) = (queue.producer(), queue.consumer());
        let receiver = scope.spawn(move || {
            pin(there);
            // The first item is waited for too, so that first-time costs are not counted.
            consumer.pop();
            thread.store(thread_id(), Ordering::Release);
            let (start, used) = (Instant::now(), thread_cpu());
            consumer.pop();
            (thread_cpu() - used).as_secs_f64() / start.elapsed().as_secs_f64()
        });
        scope.spawn(move || {
            pin(here);
            producer.push(1);
            until_asleep(thread);
            // The span being measured; nothing is ordered by it.
            std::thread::sleep(span);
            producer.push(2);
        });
        receiver.join().expect("the receiver ends well")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects::Crossfire;

    #[test]
    fn a_blocked_consumer_is_woken_every_time() {
        for [median, tail] in [
            wake::<Futex>(1, 50),
            wake::<Monitor>(1, 50),
            wake::<Crossfire<u64, true>>(16, 50),
        ] {
            assert!(median > 0.0 && median <= tail, "{median} {tail}");
        }
    }

    #[test]
    fn a_sleeping_consumer_uses_little() {
        let sleeper = idle::<Futex>(1, Duration::from_millis(50));
        assert!(
            (0.0..0.5).contains(&sleeper),
            "a futex waiter used {sleeper} of a core"
        );
    }
}
