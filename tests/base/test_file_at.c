/* Tests of pieces of a file at an offset. */
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file_at.h"

enum { N = 300000 };

static void pieces_come_back(void **state)
{
    char path[] = "/tmp/lathe-at-XXXXXX", other[] = "/tmp/lathe-at-XXXXXX";
    static uint8_t in[N], out[N];
    int fd = mkstemp(path), fd2 = mkstemp(other);
    assert_true(fd >= 0 && fd2 >= 0);
    for (int i = 0; i < N; i++)
        in[i] = (uint8_t)(i * 7 + i / 251);
    assert_true(file_write_at(fd, in, N, 5000));
    assert_true(file_read_at(fd, out, N, 5000));
    assert_memory_equal(in, out, N);
    assert_true(file_read_at(fd, out, 4, 4998) && out[0] == 0 && out[1] == 0 && out[2] == in[0]);
    assert_true(file_read_at(fd, out, 0, 1 << 30));
    assert_false(file_read_at(fd, out, N, 5001));
    assert_int_equal(errno, EIO);
    assert_true(file_is_at(fd, path));
    assert_int_equal(rename(other, path), 0);
    assert_true(!file_is_at(fd, path) && file_is_at(fd2, path));
    unlink(path);
    assert_false(file_is_at(fd2, path));
    close(fd);
    close(fd2);
    assert_false(file_read_at(fd, out, 1, 0));
    assert_int_equal(errno, EBADF);
}

static void a_full_disk_is_said(void **state)
{
    int fd = open("/dev/full", O_RDWR);
    assert_true(fd >= 0);
    assert_false(file_write_at(fd, "x", 1, 0));
    assert_int_equal(errno, ENOSPC);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_come_back),
                                       cmocka_unit_test(a_full_disk_is_said)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
