/* What succeeds leaves errno alone. */
#include "check.h"
#include <errno.h>
#include <malloc.h>

#define KEEPS(call) \
    do { \
        errno = EXDEV; \
        call; \
        CHECK(errno == EXDEV); \
    } while (0)

int main(void)
{
    static const size_t sizes[] = { 0, 1, 24, 4096, 65536, 300000, 8 << 20 };
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        size_t size = sizes[at];
        void *block, *aligned;
        KEEPS(block = malloc(size));
        KEEPS(block = realloc(block, size + 5000));
        KEEPS(block = realloc(block, size / 2 + 1));
        KEEPS(block = reallocarray(block, size + 1, 2));
        KEEPS(malloc_usable_size(block));
        KEEPS(free(block));
        KEEPS(block = calloc(size, 3));
        KEEPS(free(block));
        KEEPS(CHECK(posix_memalign(&aligned, 8192, size) == 0));
        KEEPS(free(aligned));
        KEEPS(aligned = aligned_alloc(64, size));
        KEEPS(free(aligned));
        KEEPS(free(NULL));
    }
    puts("errno was kept");
    return 0;
}
