/* Not ours: a pointer that no allocator ever gave out, and that no processor can follow. */
#include <stdio.h>

int main(void)
{
    puts("before");
    fflush(stdout);
    return *(volatile char *volatile)0x6b6b6b6b6b6b6b6b;
}
