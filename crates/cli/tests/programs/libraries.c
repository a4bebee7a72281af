/* Opens and closes a library again and again. Built twice: with LIBRARY it is that library. */
#include "check.h"
#include <dlfcn.h>

#ifdef LIBRARY

static char *kept;

__attribute__((constructor)) static void opened(void)
{
    CHECK(kept = strdup("kept by the library"));
}

__attribute__((destructor)) static void closed(void)
{
    free(kept);
}

char *make(size_t size, unsigned mark);

char *make(size_t size, unsigned mark)
{
    char *block = malloc(size);
    CHECK(block && strlen(kept) == 19);
    fill(block, size, mark);
    return block;
}

#else

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    for (unsigned round = 0; round < 200; round++) {
        void *library = dlopen(argv[1], RTLD_NOW);
        CHECK(library);
        char *(*make)(size_t, unsigned) = (char *(*)(size_t, unsigned))dlsym(library, "make");
        CHECK(make);
        char *block = make(round * 40, round);
        CHECK(dlclose(library) == 0);
        CHECK(is_filled(block, round * 40, round));
        free(block);
        CHECK(!dlopen("/no/such/library.so", RTLD_NOW) && dlerror());
    }
    puts("opened and closed");
    return 0;
}

#endif
