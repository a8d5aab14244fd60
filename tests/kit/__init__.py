"""What tests are made of: real servers, fakes that follow a script, and golden files. Nothing here is a mock."""
