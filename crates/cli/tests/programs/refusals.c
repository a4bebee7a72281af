/* What the malloc family refuses, and with which error. */
#include "check.h"
#include <errno.h>
#include <malloc.h>
#include <stdint.h>

static volatile size_t huge = SIZE_MAX / 2 + 1, most = SIZE_MAX, odd = 3;

#define REFUSED(call) \
    do { \
        errno = 0; \
        CHECK((call) == NULL); \
        CHECK(errno == ENOMEM); \
    } while (0)

int main(void)
{
    void *block = malloc(10), *untouched = block;
    fill(block, 10, 1);
    REFUSED(malloc(huge));
    REFUSED(malloc(most));
    REFUSED(calloc(huge, 2));
    REFUSED(calloc(huge, 3));
    REFUSED(realloc(block, huge));
    REFUSED(reallocarray(block, huge, 2));
    REFUSED(aligned_alloc(4096, huge));
    REFUSED(memalign(64, most));
    REFUSED(valloc(most));
    REFUSED(pvalloc(most));
    errno = EXDEV;
    CHECK(posix_memalign(&block, odd, 10) == EINVAL && posix_memalign(&block, 4, 10) == EINVAL);
    CHECK(posix_memalign(&block, 0, 10) == EINVAL && posix_memalign(&block, 24, 10) == EINVAL);
    CHECK(posix_memalign(&block, 64, huge) == ENOMEM && posix_memalign(&block, 8, most) == ENOMEM);
    CHECK(errno == EXDEV && block == untouched && is_filled(block, 10, 1));
    free(block);
    puts("refused by the rules");
    return 0;
}
