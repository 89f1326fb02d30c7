// A program whose names the compiler mangles: spins in a module's function.
mod shop {
    pub mod cart {
        #[inline(never)]
        pub fn total(seed: u64) -> u64 {
            let mut count = seed;
            while std::hint::black_box(count) != 0 {
                count |= 1;
            }
            count
        }
    }
}

fn main() {
    println!("ready");
    println!("{}", shop::cart::total(1));
}
