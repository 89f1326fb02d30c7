// Holds a loop in Rust: a method's name, which the compiler mangles. kinds_rs LOOP COUNT DELAY_MS
use std::time::Duration;

extern "C" {
    fn epoll_create1(flags: i32) -> i32;
    fn epoll_wait(fd: i32, events: *mut u64, count: i32, ms: i32) -> i32;
}

struct Table;

impl Table {
    #[inline(never)]
    fn hold_sleep(&self) {
        std::thread::sleep(Duration::from_millis(80)); // sleep
        std::hint::black_box(self);
    }
}

fn main() {
    let words: Vec<i32> = std::env::args().skip(2).map(|word| word.parse().unwrap_or(0)).collect();
    let mut events = [0u64; 4];
    unsafe {
        let fd = epoll_create1(0o2000000);
        epoll_wait(fd, events.as_mut_ptr(), 1, words[1]);
        for _ in 0..words[0] {
            Table.hold_sleep();
            epoll_wait(fd, events.as_mut_ptr(), 1, 30);
        }
    }
}
