// A program whose names the compiler mangles: spins in a method of a class in a namespace.
#include <cstdio>

namespace shop {
struct Cart {
    [[gnu::noinline]] void total(volatile unsigned long &count, const char *) {
        for (;;) count = count + 1;
    }
};
} // namespace shop

int main() {
    volatile unsigned long count = 0;
    std::puts("ready");
    std::fflush(stdout);
    shop::Cart().total(count, "");
    return 0;
}
