import logging

# peft imports bitsandbytes wherever it is installed, which then tells every run of a kernel that could be fetched.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
