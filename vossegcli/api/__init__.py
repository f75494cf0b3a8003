"""The functions that `import vossegcli` offers, one module a kind; plain arguments in, plain values out."""
