"""aam_cli"""
