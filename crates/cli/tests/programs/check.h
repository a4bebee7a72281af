/* What the programs beside this file share: a check that names the line that failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s is false\n", __FILE__, __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

/* Fills a block with bytes that tell it from its neighbours. */
static inline void fill(void *block, size_t size, unsigned mark)
{
    for (size_t at = 0; at < size; at++)
        ((unsigned char *)block)[at] = (unsigned char)(mark + at * 7);
}

static inline int is_filled(const void *block, size_t size, unsigned mark)
{
    for (size_t at = 0; at < size; at++)
        if (((const unsigned char *)block)[at] != (unsigned char)(mark + at * 7))
            return 0;
    return 1;
}
