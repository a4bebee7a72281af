/* What realloc and calloc promise about contents. */
#include "check.h"

static const size_t sizes[] = { 1, 15, 16, 17, 4095, 4096, 4097, 65535, 65536, 65537, 999999 };
enum { SIZES = sizeof sizes / sizeof *sizes };

static void resize(size_t from, size_t to)
{
    void *block = realloc(NULL, from);
    CHECK(block);
    fill(block, from, 3);
    CHECK(block = realloc(block, to));
    CHECK(is_filled(block, from < to ? from : to, 3));
    fill(block, to, 4);
    CHECK(block = reallocarray(block, from, 1));
    CHECK(is_filled(block, from < to ? from : to, 4));
    free(block);
}

static void zeroed(size_t size)
{
    void *dirty = malloc(size);
    memset(dirty, 0xee, size);
    free(dirty);
    unsigned char *block = calloc(size, 1);
    for (size_t at = 0; at < size; at++)
        CHECK(block[at] == 0);
    free(block);
}

int main(void)
{
    for (int at = 0; at < SIZES * SIZES; at++)
        resize(sizes[at / SIZES], sizes[at % SIZES]);
    for (int at = 0; at < SIZES; at++)
        zeroed(sizes[at]);
    puts("the contents were kept");
    return 0;
}
