"""What each login used, kept for the bill: a journal on disk, files of whole hours, and reports from them."""
