// Every rank runs the tests; the root alone prints, and any rank's failure is the program's.

#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdio>

int main(int count, char** values) {
    MPI_Init(&count, &values);
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    testing::InitGoogleTest(&count, values);
    if (rank != 0)
        delete testing::UnitTest::GetInstance()->listeners().Release(
            testing::UnitTest::GetInstance()->listeners().default_result_printer());
    const int failed = RUN_ALL_TESTS();
    if (failed != 0 && rank != 0) std::fprintf(stderr, "rank %d: a test failed\n", rank);
    int any = 0;
    MPI_Allreduce(&failed, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    MPI_Finalize();
    return any;
}
