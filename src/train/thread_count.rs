//! The number of threads to compute with on a CPU that other programs use, too.
//!
//! All threads wait for the slowest one. If another program keeps a core busy, the thread on that core is
//! slow, and one thread less is faster: on 2 cores with one kept busy, an epoch of MNIST takes 1.9 times as
//! long as on a quiet machine, instead of 2.5 to 3 times.

use std::time::Duration;

/// Steps that are timed together.
const WINDOW: u32 = 16;
/// A window that takes this much longer than the fastest one suggests that another program is busy.
const SUSPICIOUS: f64 = 1.6;
/// Windows before the first trial of one thread less: another program may have been busy from the start.
const WARM_UP: u32 = 3;
/// Windows until the next trial; doubled each time that a trial is slower.
const FIRST_REST: u32 = 32;
const LONGEST_REST: u32 = 512;

/// Chooses the number of threads by the time that steps take. The results must not depend on it.
#[derive(Debug)]
pub struct ThreadCount {
    max: u32,
    threads: u32,
    state: State,
    /// The fastest window with all threads.
    best: Duration,
    rest: u32,
    steps: u32,
    elapsed: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// The number stays for some more windows, unless they become suspiciously slow.
    Content { windows: u32 },
    /// A number of threads is compared with the one before, by the time of a window.
    Trying { before: u32, time: Duration },
    /// The number stays for some more windows, however long they take.
    Resting { windows: u32 },
}

impl ThreadCount {
    /// Begins with all threads.
    pub fn new(max: u32) -> ThreadCount {
        ThreadCount {
            max,
            threads: max,
            state: State::Content { windows: WARM_UP },
            best: Duration::MAX,
            rest: FIRST_REST,
            steps: 0,
            elapsed: Duration::ZERO,
        }
    }

    /// Computes with the chosen number of threads.
    pub fn use_chosen_threads(&self) {
        use_threads(self.threads);
    }

    /// Computes with all threads, for what must not depend on the choice.
    pub fn use_all_threads(&self) {
        use_threads(self.max);
    }

    /// Records the time of a step, and chooses the number of threads for the next one.
    pub fn step_done(&mut self, step: Duration) {
        self.steps += 1;
        self.elapsed += step;
        if self.steps == WINDOW {
            let time = std::mem::take(&mut self.elapsed);
            self.steps = 0;
            self.end_window(time);
        }
    }

    fn end_window(&mut self, time: Duration) {
        if self.threads == self.max {
            self.best = self.best.min(time);
        }
        let is_suspicious = time > self.best.mul_f64(SUSPICIOUS);
        self.state = match self.state {
            _ if self.max == 1 => self.state,
            State::Content { windows } if windows == 0 || is_suspicious => self.try_another(time),
            State::Content { windows } => State::Content { windows: windows - 1 },
            State::Trying { time: time_before, .. } if time < time_before => {
                self.rest = FIRST_REST;
                match self.threads == self.max {
                    true => State::Content { windows: LONGEST_REST },
                    false => State::Resting { windows: FIRST_REST },
                }
            }
            State::Trying { before, .. } => {
                self.threads = before;
                let windows = self.rest;
                self.rest = (2 * windows).min(LONGEST_REST);
                State::Resting { windows }
            }
            State::Resting { windows: 0 } if self.threads < self.max => self.try_another(time),
            State::Resting { windows: 0 } => State::Content { windows: LONGEST_REST },
            State::Resting { windows } => State::Resting { windows: windows - 1 },
        };
    }

    /// One thread less, or all.
    fn try_another(&mut self, time: Duration) -> State {
        let other = if self.threads == self.max { self.max - 1 } else { self.max };
        State::Trying { before: std::mem::replace(&mut self.threads, other), time }
    }
}

/// Gives libtorch back its number of threads when it is dropped: also after an error or a panic.
#[derive(Debug)]
pub struct RestoredThreads(u32);

impl RestoredThreads {
    /// The number now.
    pub fn now() -> RestoredThreads {
        RestoredThreads(tch::get_num_threads().max(1) as u32)
    }
}

impl Drop for RestoredThreads {
    fn drop(&mut self) {
        use_threads(self.0);
    }
}

/// Setting the number of threads makes libtorch prepare its thread pool anew, even if the number stays the
/// same.
fn use_threads(threads: u32) {
    if tch::get_num_threads() != threads as i32 {
        tch::set_num_threads(threads as i32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The threads after each window, whose steps take `milliseconds` as a function of the number of threads.
    fn run(thread_count: &mut ThreadCount, windows: usize, milliseconds: impl Fn(u32) -> u64) -> Vec<u32> {
        let end = |thread_count: &mut ThreadCount| {
            (0..WINDOW).for_each(|_| {
                thread_count.step_done(Duration::from_millis(milliseconds(thread_count.threads)))
            });
            thread_count.threads
        };
        (0..windows).map(|_| end(thread_count)).collect()
    }

    fn with_fewer(threads: &[u32], most: u32) -> usize {
        threads.iter().filter(|&&threads| threads < most).count()
    }

    #[test]
    fn a_quiet_machine_uses_all_threads_but_for_a_look_now_and_then() {
        for most in [2, 8] {
            let mut thread_count = ThreadCount::new(most);
            let windows = run(&mut thread_count, 5_000, |threads| 840 / u64::from(threads));
            let fewer = with_fewer(&windows, most);
            assert!((1..20).contains(&fewer), "{fewer} of 5,000 windows with fewer threads");
        }
    }

    #[test]
    fn a_neighbour_costs_a_thread_until_it_is_gone() {
        for most in [2, 8] {
            let mut thread_count = ThreadCount::new(most);
            run(&mut thread_count, 100, |threads| 840 / u64::from(threads));
            let busy =
                |threads| if threads == most { 2_100 / u64::from(threads) } else { 840 / u64::from(threads) };
            let fewer = with_fewer(&run(&mut thread_count, 400, busy), most);
            assert!(fewer > 360, "{fewer} of 400 windows with fewer threads");
            let quiet = run(&mut thread_count, LONGEST_REST as usize + 2, |threads| 840 / u64::from(threads));
            assert_eq!(quiet.last(), Some(&most), "back to all threads");
        }
    }

    #[test]
    fn a_neighbour_that_was_there_before_us_is_noticed() {
        let mut thread_count = ThreadCount::new(2);
        let fewer = with_fewer(&run(&mut thread_count, 100, |threads| if threads == 2 { 50 } else { 40 }), 2);
        assert!(fewer > 80, "{fewer} of 100 windows with fewer threads");
    }

    #[test]
    fn slowness_that_fewer_threads_do_not_cure_costs_little() {
        let mut thread_count = ThreadCount::new(2);
        run(&mut thread_count, 100, |threads| 20 / u64::from(threads));
        let fewer = with_fewer(&run(&mut thread_count, 1_000, |threads| 60 / u64::from(threads)), 2);
        assert!(fewer < 10, "{fewer} of 1,000 windows on one thread");
    }

    #[test]
    fn one_thread_stays_one() {
        let mut thread_count = ThreadCount::new(1);
        assert!(
            run(&mut thread_count, 100, |_| 5)
                .into_iter()
                .chain(run(&mut thread_count, 100, |_| 50))
                .all(|n| n == 1)
        );
    }
}
