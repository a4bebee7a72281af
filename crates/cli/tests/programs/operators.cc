// Every form of operator new and delete: what they give, what they take, and how they fail.
#include "check.h"
#include <cstdint>
#include <new>

static volatile std::size_t huge = SIZE_MAX / 2 + 1;
static const std::align_val_t wide{256};

static void *checked(void *block, std::size_t size, std::size_t align)
{
    CHECK(block && reinterpret_cast<std::uintptr_t>(block) % align == 0);
    fill(block, size, 2);
    CHECK(is_filled(block, size, 2));
    return block;
}

static void pairs(std::size_t size)
{
    std::size_t align = size <= 8 ? 8 : 16;
    operator delete(checked(operator new(size), size, align));
    operator delete(checked(operator new(size), size, align), size);
    operator delete(checked(operator new(size, std::nothrow), size, align), std::nothrow);
    operator delete[](checked(operator new[](size), size, align));
    operator delete[](checked(operator new[](size), size, align), size);
    operator delete[](checked(operator new[](size, std::nothrow), size, align), std::nothrow);
    operator delete(checked(operator new(size, wide), size, 256), wide);
    operator delete(checked(operator new(size, wide), size, 256), size, wide);
    operator delete(checked(operator new(size, wide, std::nothrow), size, 256), wide, std::nothrow);
    operator delete[](checked(operator new[](size, wide), size, 256), wide);
    operator delete[](checked(operator new[](size, wide), size, 256), size, wide);
    operator delete[](
        checked(operator new[](size, wide, std::nothrow), size, 256), wide, std::nothrow);
}

template <typename Form> static bool throws(Form form)
{
    try {
        checked(form(), 1, 1);
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

static void failures()
{
    CHECK(throws([] { return operator new(huge); }));
    CHECK(throws([] { return operator new[](huge); }));
    CHECK(throws([] { return operator new(huge, wide); }));
    CHECK(throws([] { return operator new[](huge, wide); }));
    CHECK(!operator new(huge, std::nothrow) && !operator new[](huge, std::nothrow));
    CHECK(!operator new(huge, wide, std::nothrow) && !operator new[](huge, wide, std::nothrow));
}

static int asked;

static void ask()
{
    if (++asked == 3)
        std::set_new_handler(nullptr);
}

static void refuse() { throw std::bad_alloc(); }

static void handlers()
{
    std::set_new_handler(ask);
    CHECK(throws([] { return operator new(huge); }) && asked == 3);
    std::set_new_handler(ask), asked = 0;
    CHECK(!operator new(huge, wide, std::nothrow) && asked == 3);
    std::set_new_handler(refuse);
    CHECK(throws([] { return operator new[](huge); }));
    CHECK(!operator new[](huge, std::nothrow));
    std::set_new_handler(nullptr);
}

int main()
{
    for (std::size_t size = 0; size < 100000; size = size * 3 / 2 + 1)
        pairs(size);
    failures();
    handlers();
    puts("all forms are there");
    return 0;
}
