/* A million live blocks of 16 bytes. With the argument "guarded" it also asks the kernel whether
   the byte after a block can be read: it must not. Status 77: this kernel has no guard markers. */
#include "check.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { COUNT = 1000000, SIZE = 16, GUARD_INSTALL = 102 };

static void need_guard_markers(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    if (madvise(page, 4096, GUARD_INSTALL) != 0) {
        puts("the kernel has no guard markers");
        exit(77);
    }
    munmap(page, 4096);
}

static int mappings(void)
{
    static char text[65536];
    int lines = 0, maps = open("/proc/self/maps", O_RDONLY);
    CHECK(maps >= 0);
    for (ssize_t len; (len = read(maps, text, sizeof text)) > 0;)
        for (ssize_t at = 0; at < len; at++)
            lines += text[at] == '\n';
    close(maps);
    return lines;
}

int main(int argc, char **argv)
{
    int guarded = argc > 1 && strcmp(argv[1], "guarded") == 0, ends[2];
    need_guard_markers();
    CHECK(pipe(ends) == 0);
    char **blocks = malloc(COUNT * sizeof *blocks);
    for (unsigned at = 0; at < COUNT; at++) {
        CHECK(blocks[at] = malloc(SIZE));
        fill(blocks[at], SIZE, at);
    }
    int lines = mappings();
    fprintf(stderr, "%d mappings\n", lines);
    CHECK(lines < 100);
    for (unsigned at = 0; at < COUNT; at++)
        CHECK(is_filled(blocks[at], SIZE, at));
    for (unsigned at = 0; guarded && at < COUNT; at += 997)
        CHECK(write(ends[1], blocks[at] + SIZE, 1) == -1 && errno == EFAULT);
    for (unsigned at = 0; at < COUNT; at++)
        free(blocks[at]);
    free(blocks);
    puts("a million blocks were live");
    return 0;
}
