//! The tests that took longest, at the end of each run of them.
//!
//! libtest has no end that a test could stand at, so a child is told of each test as it ends. When this process is gone,
//! however it ended, the child has heard everything and says what counts.

use std::cell::RefCell;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

const TOLD: &str = r#"slowest=$(sort -rn | head -n 10); [ -z "$slowest" ] || printf 'the slowest tests, in seconds:\n%s\n\n' "$slowest""#;

static LISTENER: LazyLock<Mutex<Child>> = LazyLock::new(|| {
    let child = Command::new("sh").args(["-c", TOLD]).stdin(Stdio::piped()).spawn();
    Mutex::new(child.unwrap())
});

thread_local! {
    static CLOCK: RefCell<Option<Clock>> = const { RefCell::new(None) };
}

/// Runs as long as the thread of a test, which libtest names after it.
struct Clock {
    test: String,
    began: Instant,
}

impl Drop for Clock {
    fn drop(&mut self) {
        let mut listener = LISTENER.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{:8.1}  {}\n", self.began.elapsed().as_secs_f32(), self.test);
        // A table that cannot be had is no reason to fail.
        listener.stdin.as_mut().map(|input| input.write_all(line.as_bytes()).ok());
    }
}

/// Notes how long the test takes whose thread this is; for whatever a test that takes long begins with.
pub(crate) fn timed() {
    CLOCK.with_borrow_mut(|clock| {
        if clock.is_none() {
            // Where one test runs after the other, all of them have one thread.
            let test = thread::current().name().filter(|name| name.contains("::")).map(str::to_owned);
            *clock = test.map(|test| Clock { test, began: Instant::now() });
        }
    });
}
