/* A wide text without room for its terminating zero. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

int main(void)
{
    const wchar_t *volatile text = TWIN(L"eight!!!", L"seven!!");
    wchar_t *p = malloc(8 * sizeof *p); // ALLOCATED
    wcscpy(p, text); // CRIME
    printf("%zu\n", wcslen(p));
    free(p);
    return 0;
}
