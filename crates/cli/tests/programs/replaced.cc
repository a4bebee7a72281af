// A program that replaces some operators: those that it leaves end in its own.
#include "check.h"
#include <new>

static int news, deletes;
enum { HEADER = 32 };

void *operator new(std::size_t size)
{
    news++;
    char *block = static_cast<char *>(malloc(size + HEADER));
    CHECK(block);
    memset(block, 0x5a, HEADER);
    return block + HEADER;
}

void operator delete(void *block) noexcept
{
    if (!block)
        return;
    deletes++;
    char *start = static_cast<char *>(block) - HEADER;
    for (int at = 0; at < HEADER; at++)
        CHECK(start[at] == 0x5a);
    free(start);
}

int main()
{
    operator delete(operator new(20), 20);
    operator delete[](operator new[](20));
    operator delete[](operator new[](20), 20);
    operator delete(operator new(20, std::nothrow), std::nothrow);
    operator delete[](operator new[](20, std::nothrow), std::nothrow);
    printf("%d blocks, %d given back\n", news, deletes);
    return 0;
}
