/* A C program that knows nothing of granule: the other side of tests/shared_c.rs.
 *
 *   peer make NAME       shm_open, ftruncate, writes; waits; checks what came; shm_unlink
 *   peer open NAME       shm_open of what is there; checks its length and bytes; writes
 *   peer inherited       memory in the place of its standard input
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEN = 1000 };

static void *map(int file)
{
    void *memory = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static int make(const char *name)
{
    char line[16];
    int file = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (file < 0 || ftruncate(file, LEN) != 0)
        return 10;
    uint64_t *words = map(file);
    if (words == NULL)
        return 11;
    words[0] = 17;
    puts("<made>");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL)
        return 12;
    return words[1] == 18 && shm_unlink(name) == 0 ? 0 : 13;
}

static int look(const char *name)
{
    struct stat status;
    int file = shm_open(name, O_RDWR, 0);
    if (file < 0 || fstat(file, &status) != 0)
        return 20;
    uint64_t *words = map(file);
    if (status.st_size != LEN || (status.st_mode & 0777) != 0600 || words == NULL)
        return 21;
    if (words[0] != 27)
        return 22;
    words[1] = 28;
    return 0;
}

static int inherited(int file)
{
    uint64_t *words = map(file);
    if (words == NULL || words[0] != 37)
        return 30;
    words[1] = 38;
    return 0;
}

int main(int count, char **words)
{
    if (count == 3 && strcmp(words[1], "make") == 0)
        return make(words[2]);
    if (count == 3 && strcmp(words[1], "open") == 0)
        return look(words[2]);
    if (count == 2 && strcmp(words[1], "inherited") == 0)
        return inherited(0);
    return 2;
}
