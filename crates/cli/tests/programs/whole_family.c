/* What belongs to the family and glibc may not have: sized frees, and the numbers of the heap. */
#include "check.h"
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>

static void *find(const char *name)
{
    void *found = dlsym(RTLD_DEFAULT, name);
    if (!found)
        fprintf(stderr, "%s is missing\n", name);
    CHECK(found);
    return found;
}

static void sized_frees(void)
{
    void (*free_sized)(void *, size_t) = (void (*)(void *, size_t))find("free_sized");
    void (*free_aligned_sized)(void *, size_t, size_t) =
        (void (*)(void *, size_t, size_t))find("free_aligned_sized");
    void (*cfree)(void *) = (void (*)(void *))find("cfree");
    for (size_t size = 0; size < 100000; size = size * 2 + 1) {
        free_sized(malloc(size), size);
        free_aligned_sized(aligned_alloc(256, size), 256, size);
        cfree(calloc(size, 1));
    }
    free_sized(NULL, 0);
    free_aligned_sized(NULL, 16, 0);
    cfree(NULL);
}

static void numbers(void)
{
    struct mallinfo2 before = mallinfo2();
    void *block = malloc(1 << 20);
    struct mallinfo2 with = mallinfo2();
    CHECK(with.uordblks >= before.uordblks + (1 << 20));
    CHECK(with.arena >= with.uordblks && with.fordblks == with.arena - with.uordblks);
    free(block);
    CHECK(mallinfo2().uordblks == before.uordblks);
    CHECK(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 0);
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    CHECK(malloc_info(0, stream) == 0 && fclose(stream) == 0);
    CHECK(strncmp(text, "<malloc version=\"1\">", 20) == 0 && strstr(text, "</malloc>\n"));
    free(text);
    errno = 0;
    CHECK(malloc_info(1, stdout) == -1 && errno == EINVAL);
}

static void trimmed(void)
{
    enum { LEN = 20 << 20 };
    char *block = malloc(LEN);
    memset(block, 1, LEN);
    free(block);
    CHECK(malloc_trim(0) == 1 && malloc_trim(0) == 0);
}

static void unique(void)
{
    void *blocks[100];
    for (int at = 0; at < 100; at++) {
        CHECK(blocks[at] = malloc(0));
        for (int before = 0; before < at; before++)
            CHECK(blocks[at] != blocks[before]);
    }
    for (int at = 0; at < 100; at++)
        free(blocks[at]);
}

static void every_small_size(void)
{
    for (size_t size = 0; size <= 40000; size++) {
        unsigned char *block = malloc(size);
        CHECK(block && (uintptr_t)block % (size <= 8 ? 8 : 16) == 0);
        CHECK(malloc_usable_size(block) >= size);
        memset(block, 0xa5, size);
        free(block);
        CHECK((block = calloc(1, size)));
        for (size_t at = 0; at < size; at += at < 64 ? 1 : 61)
            CHECK(block[at] == 0);
        free(block);
    }
}

int main(void)
{
    sized_frees();
    numbers();
    trimmed();
    unique();
    every_small_size();
    puts("the whole family is there");
    return 0;
}
