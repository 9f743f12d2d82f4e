"""aam_rocm_tools"""
