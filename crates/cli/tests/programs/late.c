/* The library is loaded late, by a program that has used the C library's malloc before. */
#include "check.h"
#include <dlfcn.h>
#include <pthread.h>

static void *(*late_malloc)(size_t);
static void (*late_free)(void *);
static size_t (*late_usable)(void *);

static void *work(void *nothing)
{
    void *blocks[100];
    for (size_t at = 0; at < 100; at++) {
        CHECK(blocks[at] = late_malloc(at * 50));
        CHECK(late_usable(blocks[at]) >= at * 50);
        fill(blocks[at], at * 50, (unsigned)at);
    }
    for (size_t at = 0; at < 100; at++) {
        CHECK(is_filled(blocks[at], at * 50, (unsigned)at));
        late_free(blocks[at]);
    }
    return nothing;
}

int main(int argc, char **argv)
{
    void *before = malloc(100);
    void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(library);
    late_malloc = (void *(*)(size_t))dlsym(library, "malloc");
    late_free = (void (*)(void *))dlsym(library, "free");
    late_usable = (size_t(*)(void *))dlsym(library, "malloc_usable_size");
    CHECK(late_malloc && late_malloc != malloc && late_free && late_usable);
    CHECK(late_usable(before) == 0); /* the C library's is none of its blocks */
    work(NULL);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
    CHECK(dlclose(library) == 0); /* it stays: the thread ends in it */
    CHECK(pthread_join(thread, NULL) == 0);
    free(before);
    puts("it came late and stayed");
    return 0;
}
