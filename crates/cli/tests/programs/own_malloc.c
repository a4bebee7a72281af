/* A program with its own malloc, which a preloaded one leaves alone. */
#include "check.h"
#include <malloc.h>

static char arena[32 << 20] __attribute__((aligned(16)));
static size_t used;

static int is_own(const void *block)
{
    return (const char *)block >= arena && (const char *)block < arena + sizeof arena;
}

void *malloc(size_t size)
{
    size_t *block = (size_t *)(arena + used);
    used += 16 + (size + 15) / 16 * 16;
    if (used > sizeof arena)
        return NULL;
    *block = size;
    return block + 2;
}

void free(void *block) { if (block && !is_own(block)) abort(); }

void *calloc(size_t count, size_t size) { return malloc(count * size); } /* never used twice */

void *realloc(void *block, size_t size)
{
    void *moved = malloc(size);
    if (moved && block) {
        size_t len = ((size_t *)block)[-2];
        memcpy(moved, block, len < size ? len : size);
    }
    return moved;
}

int main(void)
{
    char *text = NULL, *line;
    CHECK(asprintf(&text, "%0500d", 7) == 500 && is_own(text));
    CHECK((line = strdup(text)) && is_own(line));
    free(line);
    free(text);
    void *theirs = memalign(64, 100); /* which it does not have: the C library's */
    CHECK(theirs && !is_own(theirs) && malloc_usable_size(theirs) >= 100);
    puts("its own malloc was used");
    return 0;
}
