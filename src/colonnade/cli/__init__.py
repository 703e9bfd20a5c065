"""The command line: arguments, and what a person sees. What is done is done by the package."""
