"""`python -m proxy` is the command `partywall`."""

from proxy.cli import program

if __name__ == "__main__":
    program()
