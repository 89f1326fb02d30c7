// The fiber benchmark on Tokio's current-thread runtime. Prints a line of JSON; see fibers_hark.c.
//
// Tokio has no channel without a buffer: one of a single item stands for it.
// usage: fibers_tokio tight | park COUNT
extern "C" {
    fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
}

// Processor time of this process, which other work on the machine does not change.
fn processor_ns() -> f64 {
    let mut time = [0i64; 2];
    unsafe { clock_gettime(2, &mut time) };
    time[0] as f64 * 1e9 + time[1] as f64
}

const SWITCHES: u64 = 2_000_000;
const SPAWNS: u64 = 1_000_000;
const BATCH: u64 = 100;
const ITEMS: u64 = 1_000_000;

async fn switch_ns() -> f64 {
    let start = processor_ns();
    let mut tasks = Vec::new();
    for _ in 0..2 {
        tasks.push(tokio::spawn(async {
            for _ in 0..SWITCHES {
                tokio::task::yield_now().await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    (processor_ns() - start) / (2 * SWITCHES) as f64
}

async fn spawn_ns() -> f64 {
    let start = processor_ns();
    for _ in 0..SPAWNS / BATCH {
        let tasks: Vec<_> = (0..BATCH).map(|_| tokio::spawn(async {})).collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
    (processor_ns() - start) / SPAWNS as f64
}

async fn channel_ns() -> f64 {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<u64>(1);
    let start = processor_ns();
    tokio::spawn(async move {
        for i in 0..ITEMS {
            sender.send(i).await.unwrap();
        }
    });
    let mut sum = 0;
    while let Some(item) = receiver.recv().await {
        sum += item;
    }
    assert_eq!(sum, ITEMS * (ITEMS - 1) / 2);
    (processor_ns() - start) / ITEMS as f64
}

fn memory_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    text.lines()
        .filter(|line| line.starts_with("VmRSS:") || line.starts_with("VmPTE:"))
        .map(|line| line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0)
        .sum()
}

async fn park(count: usize) {
    let before = memory_bytes();
    let start = processor_ns();
    let wake = std::sync::Arc::new(tokio::sync::Notify::new());
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let wake = wake.clone();
            tokio::spawn(async move { wake.notified().await })
        })
        .collect();
    tokio::task::yield_now().await;
    tokio::spawn(async {}).await.unwrap(); // behind all of them in the queue
    let create = (processor_ns() - start) / count as f64;
    let bytes = (memory_bytes() - before) / count as f64;
    let wakes = processor_ns();
    wake.notify_waiters();
    for task in tasks {
        task.await.unwrap();
    }
    println!("{{\"bytes\": {:.0}, \"create\": {:.0}, \"wake_s\": {:.3}}}", bytes, create,
             (processor_ns() - wakes) / 1e9);
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let words: Vec<String> = std::env::args().collect();
    runtime.block_on(async {
        if words.len() > 2 && words[1] == "park" {
            park(words[2].parse().unwrap()).await;
            return;
        }
        tokio::spawn(async { spawn_ns().await }).await.unwrap();
        let switch = tokio::spawn(async { switch_ns().await }).await.unwrap();
        let spawn = tokio::spawn(async { spawn_ns().await }).await.unwrap();
        let channel = tokio::spawn(async { channel_ns().await }).await.unwrap();
        println!("{{\"switch\": {:.2}, \"spawn\": {:.2}, \"channel\": {:.2}}}", switch, spawn, channel);
    });
}
