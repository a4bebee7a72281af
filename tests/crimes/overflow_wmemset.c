/* A count of bytes given where wide characters are counted. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

int main(void)
{
    size_t len = 160;
    wchar_t *p = malloc(len); // ALLOCATED
    wmemset(p, L'w', TWIN(len, len / sizeof *p)); // CRIME
    printf("%d\n", p[39] == L'w');
    free(p);
    return 0;
}
