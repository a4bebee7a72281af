/* What every form of malloc gives: alignment, room to the last byte, as glibc keeps it. */
#include "check.h"
#include <malloc.h>
#include <stdint.h>

static volatile size_t none = 0;

static void check_block(void *block, size_t size, size_t align)
{
    CHECK(block && (uintptr_t)block % align == 0 && malloc_usable_size(block) >= size);
    fill(block, malloc_usable_size(block), 5);
    CHECK(is_filled(block, malloc_usable_size(block), 5));
    free(block);
}

static void check_sizes(size_t size)
{
    check_block(malloc(size), size, size <= 8 ? 8 : 16); /* any type that fits */
    for (size_t align = 8; align <= 2 << 20; align *= 2) {
        void *block = NULL;
        CHECK(posix_memalign(&block, align, size) == 0);
        check_block(block, size, align);
        check_block(aligned_alloc(align, size), size, align);
        check_block(memalign(align, size), size, align);
    }
    check_block(valloc(size), size, 4096);
    check_block(pvalloc(size), (size + 4095) / 4096 * 4096, 4096);
}

int main(void)
{
    static const size_t sizes[] = { 0, 1, 15, 16, 17, 100, 4095, 4096, 4097, 65536, 1000000 };
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++)
        check_sizes(sizes[at]);
    CHECK(malloc_usable_size(NULL) == 0 && realloc(malloc(9), none) == NULL);
    free(NULL);
    puts("the rules were kept");
    return 0;
}
