int dummy_until_written;
